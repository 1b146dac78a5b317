// Upstream's own Go, against ours: `client URL [translated]` runs client-go's executors and port-forwarder against a
// server of ours; `serve` is upstream's kubelet-side server, for clients and proxies of ours.
package main

import (
	"fmt"
	"os"
)

func main() {
	var err error
	switch {
	case len(os.Args) >= 3 && os.Args[1] == "client":
		err = client(os.Args[2], len(os.Args) > 3)
	case len(os.Args) == 2 && os.Args[1] == "serve":
		err = serve()
	default:
		err = fmt.Errorf("usage: interop client URL [translated] | serve")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		os.Exit(1)
	}
}
