"""What the tests of the layers share: awkward tensors, random layers, the comparison with torch."""
