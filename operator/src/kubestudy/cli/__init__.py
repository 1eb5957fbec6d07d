"""The command line: `kubestudy run | validate | crd | trials | best | report | dashboard | version`."""
