"""What the proxies of a mesh measure, gathered: who there is to ask (`targets`), asking (`scrape`), and reading the answer
(`exposition`). Any mesh that the control plane knows: on this machine, or in containers beside it."""
