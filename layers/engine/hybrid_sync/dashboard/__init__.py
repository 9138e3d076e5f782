"""The operator's pages: drawn by the server, useful without script, live where there is one."""
