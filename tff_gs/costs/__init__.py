"""How long a round takes, from what travelled.

Importing this package imports no TensorFlow: `names` and `options` are for flags,
`registry` builds a model of time by its name.
"""
