// Hollow runs hollow kubelets in one process: real kubelet code on a fake container runtime and a machine of any
// wished size. No port is opened. Each node gets its own client certificate by the real TLS bootstrap.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"k8s.io/klog/v2"
)

func main() {
	klog.InitFlags(nil)
	names := flag.String("names", "", "comma separated node names")
	dir := flag.String("dir", "", "state folder; each node gets a folder of its name in it")
	var spec nodeSpec
	flag.StringVar(&spec.bootstrapKubeconfig, "bootstrap-kubeconfig", "", "kubeconfig with a bootstrap token")
	flag.StringVar(&spec.labels, "node-labels", "", "comma separated key=value")
	flag.StringVar(&spec.taints, "register-with-taints", "", "comma separated key=value:effect")
	flag.StringVar(&spec.extendedResources, "extended-resources", "", "comma separated name=quantity")
	flag.StringVar(&spec.providerID, "provider-id", "", "provider ID; {name} stands for the node's name")
	flag.IntVar(&spec.cores, "cores", 8, "cores of each node")
	flag.Uint64Var(&spec.memoryBytes, "memory-bytes", 32<<30, "memory of each node in bytes")
	flag.IntVar(&spec.maxPods, "max-pods", 110, "pods that each node takes")
	flag.Parse()

	if err := run(strings.Split(*names, ","), *dir, spec); err != nil {
		fmt.Fprintln(os.Stderr, "hollow:", err)
		os.Exit(1)
	}
}

func run(names []string, dir string, spec nodeSpec) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var leftovers []string
	defer func() {
		// The kubelets end with the process only, so one may put a file into a folder that is being removed.
		for _, path := range append(leftovers, leftovers...) {
			if err := os.RemoveAll(path); err != nil {
				fmt.Fprintln(os.Stderr, "hollow:", err)
			}
		}
	}()
	leftover := func(path string) { leftovers = append(leftovers, path) }
	for _, name := range names {
		if name == "" {
			return fmt.Errorf("--names holds an empty name")
		}
		if err := spec.start(ctx, name, filepath.Join(dir, name), leftover); err != nil {
			return fmt.Errorf("node %s: %w", name, err)
		}
		fmt.Println("started", name)
	}
	<-ctx.Done()
	return nil
}
