"""What a person sees and touches: one Python file and one ESM file a widget, no bundler, nothing from the network."""
