"""How long a round takes, from what travelled.

A model of time is made from its options and bound to a run later; neither imports
TensorFlow. `registry` has all models by name.
"""
