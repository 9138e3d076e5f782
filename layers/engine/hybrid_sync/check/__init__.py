"""Whether a deployment is fit to run: probes that read structures, settings and counts, and write nothing."""
