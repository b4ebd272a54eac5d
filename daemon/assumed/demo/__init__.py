"""The embedded AWS of `assumed demo` and the tests: moto's server behind a front that makes sessions expire."""
