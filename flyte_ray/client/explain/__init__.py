"""What a record can be asked: where values come from, why actions ran, how runs differ."""
