"""Adaptive gradient sparsification for TensorFlow Federated.

The packages, each importing only those after it:

* `programs`: program logic that trains, evaluates, releases, saves and resumes;
* `runtime`: execution contexts in which clients' state stays in the TFF runtime;
* `learning`: federated SGD and averaging over sparse messages, with a k that is
  learned;
* `aggregators`, `distributors`: sparse messages for TFF's own algorithms, without
  client state;
* `exchange`: the sparse exchange as a TFF computation with client state;
* `sparsifiers`, `encoders`, `controllers`, `costs`: what is sent and selected, its
  bytes, the rules for k, and models of time.

Importing `tff_gs` imports no TensorFlow.
"""
