"""The studies of variational autoencoders. Results: reference/results/vae.json and vae.md.

    python -m reference.vae [grey conv beta binarised collapse]     all, or only these

Each finished run is stored at once, and a run that is stored is not repeated. Delete its entry in vae.json
to run it again. MNIST is downloaded once, into the folder that SCRATCHAE_CACHE names or the user's cache.
"""
