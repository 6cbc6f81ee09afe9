"""embedkit's own network: the layers that the kinds configure, as a model of transformers."""
