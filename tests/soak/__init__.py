"""A soak: many tenants on simulated nodes, hostile ones among them, and faults at random; then what is to hold."""
