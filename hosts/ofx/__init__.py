"""The OpenFX plug-in: a client of the render server in C, for every host that speaks OpenFX."""
