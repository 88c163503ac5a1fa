"""The same models in each framework. A module here has NAME, version() and build()."""
