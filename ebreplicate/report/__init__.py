"""From records to tables, figures and the comparison with the paper. Reads records, never networks."""
