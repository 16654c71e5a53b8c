"""A napari plugin: prompts drawn on layers, hypotheses as layers. Its modules need the extra `napari`."""
