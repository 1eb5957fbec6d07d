"""Checks a manifest that sets an option which Optuna calls experimental."""

from kubestudy.search.search_checks import search_problems
from support.manifests import spec_of

assert search_problems(spec_of(sampler={"options": {"multivariate": True, "group": True, "constant_liar": True}})) == []
