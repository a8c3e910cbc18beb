"""The sandbox's EC2: moto behind a layer of faults and missing rules. The daemon never imports it."""
