"""Make student notebooks and the site from the chapters, which are plain scripts."""
