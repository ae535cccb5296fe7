// Go's net/http as a server and as a client, with gorilla's WebSockets, a client of image registries, and both sides of an exec. `lab.py` runs
// `serve CHAIN KEY CLIENTS` and `ask CA`, `test_images.py` runs `image CA REFERENCE`, `test_grpc.py`
// runs `grpc CHAIN KEY CLIENTS AGE` and `calls CA`, `test_exec.py` runs `runs CHAIN KEY CLIENTS` and `exec CA URL PROTOCOL WHAT BYTES`,
// `test_own_ca.py` runs `verify ROOTS CHAIN USE NAME...`; what each path answers is told in `promises.py`. In this process names under .test are this machine.
package main

import (
	"os"
	"strconv"
)

func main() {
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2], os.Args[3], os.Args[4])
	case "ask":
		ask(os.Args[2])
	case "image":
		image(os.Args[2], os.Args[3])
	case "grpc":
		grpcServe(os.Args[2], os.Args[3], os.Args[4], os.Args[5])
	case "calls":
		grpcAsk(os.Args[2])
	case "runs":
		runs(os.Args[2], os.Args[3], os.Args[4])
	case "exec":
		n, err := strconv.Atoi(os.Args[6])
		must(err)
		exec(os.Args[2], os.Args[3], os.Args[4], os.Args[5], n)
	case "verify":
		verify(os.Args[2], os.Args[3], os.Args[4], os.Args[5:])
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
