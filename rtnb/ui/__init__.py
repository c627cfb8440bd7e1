"""What users see and touch: a folder for each widget with its Python, JavaScript and CSS, no bundler, no network."""
