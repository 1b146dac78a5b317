package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// commands are those of echo_server, over upstream's streams.
type commands struct{}

func (commands) ExecInContainer(_ context.Context, name, _, _ string, _ []string, in io.Reader, out, errs io.WriteCloser, _ bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	switch name {
	case "cat":
		_, err := io.Copy(out, in)
		return err
	case "stderr":
		io.WriteString(out, "out")
		io.WriteString(errs, "err")
		return nil
	case "exit":
		return utilexec.CodeExitError{Err: errors.New("exit status 7"), Code: 7}
	case "sizes":
		for range 2 {
			size := <-resize
			fmt.Fprintf(out, "%dx%d\n", size.Width, size.Height)
		}
		return nil
	case "flood":
		go io.Copy(io.Discard, in)
		for range 320 {
			if _, err := out.Write(make([]byte, 32<<10)); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("no %q", name)
}

func (commands) PortForward(_ context.Context, _ string, _ string, port int32, stream io.ReadWriteCloser) error {
	if port == 1 {
		return errors.New("connection refused")
	}
	_, err := io.Copy(stream, stream)
	return err
}

// serve is what a kubelet or a container runtime of upstream's serves.
func serve() error {
	mux := http.NewServeMux()
	mux.HandleFunc("/exec", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		set := func(name string) bool { return query.Get(name) == "1" }
		options := &remotecommand.Options{Stdin: set("stdin"), Stdout: set("stdout"), Stderr: set("stderr"), TTY: set("tty")}
		remotecommand.ServeExec(w, r, commands{}, query.Get("command"), "", "", nil, options, time.Hour, 30*time.Second, remotecommand.SupportedStreamingProtocols)
	})
	mux.HandleFunc("/portforward", func(w http.ResponseWriter, r *http.Request) {
		portforward.ServePortForward(w, r, commands{}, "p", "u", &portforward.V4Options{}, time.Hour, 30*time.Second, portforward.SupportedProtocols)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return http.Serve(listener, mux)
}
