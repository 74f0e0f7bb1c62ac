"""An experiment's report: receives what `describe` says of it, gives one HTML page, Markdown or JSON. Pure."""
