"""Sparsification methods, one file a method.

Importing this package imports no TensorFlow: `names` is for flags, `registry` builds
a method by its name, `sparsifier` is the interface.
"""
