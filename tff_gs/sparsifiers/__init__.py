"""Sparsification methods, one file a method.

A method is made from its options and bound to D later; neither imports TensorFlow.
`registry` has all methods by name, `sparsifier` is the interface.
"""
