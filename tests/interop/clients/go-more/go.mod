module assumed-interop-more

go 1.24
