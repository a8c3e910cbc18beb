// Fakecri serves the fake container runtime of k8s.io/cri-client on a unix socket, so that a real kubelet
// runs without containerd.
//
// The stock fake answers ContainerStatus with an empty LogPath. The kubelet's log cleaner globs LogPath + "*",
// which is then every file of the kubelet's working directory, and removes what it finds. So a LogPath in a
// folder of the node's own is filled in.
//
// Usage: fakecri SOCKET LOG_FOLDER
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-client/pkg/fake"
)

// imageSize is the size of every image; the kubelet refuses an image without one.
const imageSize = 1 << 20

type runtimeServer struct {
	*fake.RemoteRuntime
	logFolder string
}

// ContainerStatus fills in the LogPath that the stock fake leaves empty.
func (s runtimeServer) ContainerStatus(
	ctx context.Context, request *runtimeapi.ContainerStatusRequest,
) (*runtimeapi.ContainerStatusResponse, error) {
	response, err := s.RemoteRuntime.ContainerStatus(ctx, request)
	if err != nil {
		return nil, err
	}
	if response.Status != nil && response.Status.LogPath == "" {
		response.Status.LogPath = filepath.Join(s.logFolder, request.ContainerId+".log")
	}
	return response, nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: fakecri SOCKET LOG_FOLDER")
		os.Exit(2)
	}
	if err := run(strings.TrimPrefix(os.Args[1], "unix://"), os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "fakecri:", err)
		os.Exit(1)
	}
}

func run(socket, logFolder string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", socket, err)
	}

	remote := fake.NewFakeRemoteRuntime()
	remote.ImageService.SetFakeImageSize(imageSize)
	remote.RuntimeService.FakeStatus = &runtimeapi.RuntimeStatus{Conditions: []*runtimeapi.RuntimeCondition{
		{Type: runtimeapi.RuntimeReady, Status: true},
		{Type: runtimeapi.NetworkReady, Status: true},
	}}

	server := grpc.NewServer()
	service := runtimeServer{RemoteRuntime: remote, logFolder: logFolder}
	runtimeapi.RegisterRuntimeServiceServer(server, service)
	runtimeapi.RegisterImageServiceServer(server, service)
	go func() {
		<-ctx.Done()
		server.Stop()
	}()
	if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve on %s: %w", socket, err)
	}
	return nil
}
