package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	cadvisorapi "github.com/google/cadvisor/info/v1"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	remote "k8s.io/cri-client/pkg"
	"k8s.io/cri-client/pkg/fake"
	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/certificate/bootstrap"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubelet/metrics/collectors"
	"k8s.io/kubernetes/pkg/kubemark"
	"k8s.io/kubernetes/pkg/util/taints"
)

const (
	heartbeatTimeout = 10 * time.Second
	runtimeTimeout   = 15 * time.Second
	startTimeout     = 5 * time.Second
	imageSize        = 1 << 20
)

// nodeSpec says what every node of this process looks like.
type nodeSpec struct {
	bootstrapKubeconfig string
	labels              string
	taints              string
	extendedResources   string
	providerID          string
	cores               int
	memoryBytes         uint64
	maxPods             int
}

// machine is cadvisor's view of a node: the stock fake with a size of our own.
type machine struct {
	cadvisortest.Fake
	cores       int
	memoryBytes uint64
}

// MachineInfo reports the wished size instead of the fake's.
func (m *machine) MachineInfo() (*cadvisorapi.MachineInfo, error) {
	info, err := m.Fake.MachineInfo()
	if err != nil {
		return nil, err
	}
	info.NumCores = m.cores
	info.MemoryCapacity = m.memoryBytes
	info.MachineID = m.NodeName
	return info, nil
}

// start bootstraps the node's certificate and runs its kubelet until ctx ends.
//
// Kubemark puts a kubelet's files and sockets into /tmp, where their paths are short enough for a socket. What it made
// there is told to leftover, to be removed when the process ends.
func (s nodeSpec) start(ctx context.Context, name, dir string, leftover func(path string)) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	client, heartbeatClient, err := s.clients(ctx, name, dir)
	if err != nil {
		return err
	}
	nodeTaints, _, err := taints.ParseTaints(fields(s.taints))
	if err != nil {
		return fmt.Errorf("--register-with-taints: %w", err)
	}
	extended, err := resources(s.extendedResources)
	if err != nil {
		return fmt.Errorf("--extended-resources: %w", err)
	}
	endpoint, err := fake.GenerateEndpoint()
	if err != nil {
		return err
	}
	runtime := fake.NewFakeRemoteRuntime()
	runtime.ImageService.SetFakeImageSize(imageSize)
	if err := runtime.Start(endpoint); err != nil {
		return err
	}
	leftover(strings.TrimPrefix(endpoint, "unix://"))
	service, err := remote.NewRemoteRuntimeService(ctx, endpoint, runtimeTimeout, noop.NewTracerProvider(), false)
	if err != nil {
		return err
	}
	flags, config := kubemark.GetHollowKubeletConfig(&kubemark.HollowKubeletOptions{
		NodeName: name, MaxPods: s.maxPods, NodeLabels: pairs(s.labels), RegisterWithTaints: nodeTaints,
	})
	leftover(flags.RootDirectory)
	config.EnableServer = false
	config.ProviderID = strings.ReplaceAll(s.providerID, "{name}", name)
	cadvisor := &machine{Fake: cadvisortest.Fake{NodeName: name}, cores: s.cores, memoryBytes: s.memoryBytes}
	kubelet := kubemark.NewHollowKubelet(flags, config, client, heartbeatClient, cadvisor,
		runtime.ImageService, service, cm.NewStubContainerManagerWithDevicePluginResource(extended))
	go kubelet.Run(ctx)
	return forgetCollectors()
}

// clients does the TLS bootstrap and returns the kubelet's two clients; heartbeats are not rate limited.
func (s nodeSpec) clients(ctx context.Context, name, dir string) (client, heartbeat *clientset.Clientset, err error) {
	kubeconfig := filepath.Join(dir, "kubelet.conf")
	certificates := filepath.Join(dir, "pki")
	nodeName := types.NodeName(name)
	if err := bootstrap.LoadClientCert(ctx, kubeconfig, s.bootstrapKubeconfig, certificates, nodeName); err != nil {
		return nil, nil, fmt.Errorf("TLS bootstrap: %w", err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, nil, err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	if client, err = clientset.NewForConfig(config); err != nil {
		return nil, nil, err
	}
	heartbeatConfig := rest.CopyConfig(config)
	heartbeatConfig.QPS = -1
	heartbeatConfig.Timeout = heartbeatTimeout
	if heartbeat, err = clientset.NewForConfig(heartbeatConfig); err != nil {
		return nil, nil, err
	}
	return client, heartbeat, nil
}

// forgetCollectors takes two collectors out of the process-wide registries. Every kubelet registers them once it
// runs, and a second kubelet of the same process would panic on the duplicate.
func forgetCollectors() error {
	registries := []prometheus.Registerer{legacyregistry.Registerer(), prometheus.DefaultRegisterer}
	collected := []metrics.StableCollector{
		collectors.NewVolumeStatsCollector(nil), collectors.NewLogMetricsCollector(nil),
	}
	deadline := time.Now().Add(startTimeout)
	for _, collector := range collected {
		collector.Create(nil, collector)
		for _, registry := range registries {
			for !registry.Unregister(collector) {
				if time.Now().After(deadline) {
					return errors.New("the kubelet registered no collectors; it did not start")
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
	return nil
}

func fields(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

func pairs(list string) map[string]string {
	found := map[string]string{}
	for _, field := range fields(list) {
		if key, value, ok := strings.Cut(field, "="); ok {
			found[key] = value
		}
	}
	return found
}

func resources(list string) (corev1.ResourceList, error) {
	found := corev1.ResourceList{}
	for name, text := range pairs(list) {
		quantity, err := resource.ParseQuantity(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		found[corev1.ResourceName(name)] = quantity
	}
	return found, nil
}
