// The newest SDK that Debian 12's Go compiles.
module sonde/tests/workloads/sdk

go 1.19

require github.com/grafana/pyroscope-go v1.2.7

require (
	github.com/grafana/pyroscope-go/godeltaprof v0.1.9 // indirect
	github.com/klauspost/compress v1.17.8 // indirect
)
