"""From the chapters, which are plain scripts, to student notebooks and to the site."""
