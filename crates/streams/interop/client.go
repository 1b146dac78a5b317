package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
)

const megabytes = 10

// client runs everything over every wire that client-go has. Through a translating proxy there are fewer.
func client(base string, translated bool) error {
	config := &rest.Config{Host: base}
	wires := map[string]func(string) (remotecommand.Executor, error){
		"SPDY": func(address string) (remotecommand.Executor, error) {
			parsed, err := url.Parse(address)
			if err != nil {
				return nil, err
			}
			return remotecommand.NewSPDYExecutor(config, "POST", parsed)
		},
		"WebSocket v5": func(address string) (remotecommand.Executor, error) {
			return remotecommand.NewWebSocketExecutor(config, "GET", address)
		},
	}
	if !translated {
		wires["WebSocket v4"] = func(address string) (remotecommand.Executor, error) {
			return remotecommand.NewWebSocketExecutorForProtocols(config, "GET", address, "v4.channel.k8s.io")
		}
	}
	for name, wire := range wires {
		cases := map[string]func() error{
			"stderr": func() error { return stderr(base, wire) },
			"exit":   func() error { return exit(base, wire) },
			"sizes":  func() error { return sizes(base, wire) },
			"failed": func() error { return failed(base, wire) },
		}
		if name != "WebSocket v4" {
			// v4 cannot end stdin, so cat would not end.
			cases["cat"] = func() error { return cat(base, wire) }
		}
		if !translated {
			// Upstream's server closes with stdin unread, so the kernel resets the connection and the end of
			// stdout is lost: upstream's clients see the same without us in the middle.
			cases["flood"] = func() error { return flood(base, wire) }
		}
		for what, run := range cases {
			if err := within(run); err != nil {
				return fmt.Errorf("exec %s over %s: %w", what, name, err)
			}
			fmt.Printf("ok: exec %s over %s\n", what, name)
		}
	}
	return forwards(config, base)
}

func forwards(config *rest.Config, base string) error {
	address, err := url.Parse(base + "/portforward")
	if err != nil {
		return err
	}
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return err
	}
	tunnel, err := portforward.NewSPDYOverWebsocketDialer(address, config)
	if err != nil {
		return err
	}
	dialers := map[string]httpstream.Dialer{
		"SPDY":   spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", address),
		"tunnel": tunnel,
	}
	for name, dialer := range dialers {
		if err := within(func() error { return forward(dialer) }); err != nil {
			return fmt.Errorf("port-forward over %s: %w", name, err)
		}
		fmt.Printf("ok: port-forward over %s\n", name)
	}
	return nil
}

func within(run func() error) error {
	done := make(chan error, 1)
	go func() { done <- run() }()
	select {
	case err := <-done:
		return err
	case <-time.After(60 * time.Second):
		return errors.New("no end after 60 s")
	}
}

func run(base, query string, wire func(string) (remotecommand.Executor, error), options remotecommand.StreamOptions) error {
	executor, err := wire(base + "/exec?" + query)
	if err != nil {
		return err
	}
	return executor.StreamWithContext(context.Background(), options)
}

func pattern(length int) []byte {
	data := make([]byte, length)
	for i := range data {
		data[i] = byte(i*31 ^ i>>9)
	}
	return data
}

func cat(base string, wire func(string) (remotecommand.Executor, error)) error {
	data, out := pattern(megabytes<<20), &bytes.Buffer{}
	options := remotecommand.StreamOptions{Stdin: bytes.NewReader(data), Stdout: out}
	if err := run(base, "command=cat&stdin=1&stdout=1", wire, options); err != nil {
		return err
	}
	if !bytes.Equal(out.Bytes(), data) {
		return fmt.Errorf("%d bytes came back, or others", out.Len())
	}
	return nil
}

func stderr(base string, wire func(string) (remotecommand.Executor, error)) error {
	out, errs := &bytes.Buffer{}, &bytes.Buffer{}
	options := remotecommand.StreamOptions{Stdout: out, Stderr: errs}
	if err := run(base, "command=stderr&stdout=1&stderr=1", wire, options); err != nil {
		return err
	}
	if out.String() != "out" || errs.String() != "err" {
		return fmt.Errorf("out %q, err %q", out, errs)
	}
	return nil
}

func exit(base string, wire func(string) (remotecommand.Executor, error)) error {
	err := run(base, "command=exit&stdout=1&stderr=1", wire, remotecommand.StreamOptions{Stdout: io.Discard, Stderr: io.Discard})
	var code exec.CodeExitError
	if !errors.As(err, &code) || code.Code != 7 {
		return fmt.Errorf("ended with %v", err)
	}
	return nil
}

func failed(base string, wire func(string) (remotecommand.Executor, error)) error {
	err := run(base, "command=none&stdout=1", wire, remotecommand.StreamOptions{Stdout: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "error executing command in container: no \"none\"") {
		return fmt.Errorf("ended with %v", err)
	}
	return nil
}

type queue chan remotecommand.TerminalSize

func (q queue) Next() *remotecommand.TerminalSize {
	size, ok := <-q
	if !ok {
		return nil
	}
	return &size
}

func sizes(base string, wire func(string) (remotecommand.Executor, error)) error {
	resizes := make(queue, 2)
	resizes <- remotecommand.TerminalSize{Width: 80, Height: 24}
	resizes <- remotecommand.TerminalSize{Width: 132, Height: 43}
	stdin, keep := io.Pipe()
	defer keep.Close()
	out := &bytes.Buffer{}
	options := remotecommand.StreamOptions{Stdin: stdin, Stdout: out, Tty: true, TerminalSizeQueue: resizes}
	if err := run(base, "command=sizes&stdin=1&stdout=1&tty=1", wire, options); err != nil {
		return err
	}
	if out.String() != "80x24\n132x43\n" {
		return fmt.Errorf("sizes %q", out)
	}
	return nil
}

// endless is a stdin that the command never reads.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func flood(base string, wire func(string) (remotecommand.Executor, error)) error {
	out := &bytes.Buffer{}
	options := remotecommand.StreamOptions{Stdin: endless{}, Stdout: out}
	if err := run(base, "command=flood&stdin=1&stdout=1", wire, options); err != nil {
		return err
	}
	if out.Len() != megabytes<<20 {
		return fmt.Errorf("%d bytes", out.Len())
	}
	return nil
}

func forward(dialer httpstream.Dialer) error {
	stop, ready, errs := make(chan struct{}), make(chan struct{}), &bytes.Buffer{}
	forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{"0:7"}, stop, ready, io.Discard, errs)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-ended:
		return fmt.Errorf("not ready: %w", err)
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		return err
	}
	results, group := make(chan error, 2), sync.WaitGroup{}
	for range 2 {
		group.Add(1)
		go func() {
			defer group.Done()
			results <- echo(fmt.Sprintf("127.0.0.1:%d", ports[0].Local))
		}()
	}
	group.Wait()
	close(results)
	for err := range results {
		if err != nil {
			return err
		}
	}
	// Many short ones: no stream may be left behind.
	for range 100 {
		if err := ping(fmt.Sprintf("127.0.0.1:%d", ports[0].Local)); err != nil {
			return err
		}
	}
	close(stop)
	return <-ended
}

func echo(address string) error {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer connection.Close()
	data := pattern(megabytes << 20)
	go func() {
		connection.Write(data)
		connection.(*net.TCPConn).CloseWrite()
	}()
	back, err := io.ReadAll(connection)
	if err != nil {
		return err
	}
	if !bytes.Equal(back, data) {
		return fmt.Errorf("%d bytes came back, or others", len(back))
	}
	return nil
}

func ping(address string) error {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer connection.Close()
	if _, err := connection.Write([]byte("ping")); err != nil {
		return err
	}
	answer := make([]byte, 4)
	_, err = io.ReadFull(connection, answer)
	return err
}
