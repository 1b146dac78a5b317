// Clientgo asks an API server the way operators do, with upstream's own client, and adds its figures to those of
// decapod-bench: what the server used for each operation, and how many there were a second.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Where the pods are that are read; decapod-bench has made them.
const namespace = "bench"

// Where pods are made.
const others = "bench-more"

var (
	port    = flag.Int("port", 6443, "the server's port, on loopback")
	cert    = flag.String("cert", "", "the client's certificate")
	key     = flag.String("key", "", "its key")
	side    = flag.String("side", "", "the name of the side")
	pids    = flag.String("pids", "", "lines of name, process id and start time")
	results = flag.String("results", "", "where figures are added")
	seconds = flag.Float64("seconds", 3, "how long each row is measured")
	clients = flag.Int("clients", 32, "goroutines at once")
	objects = flag.Int("objects", 5000, "how many pods there are")
)

func main() {
	flag.Parse()
	for _, encoding := range []string{"json", "protobuf"} {
		config := &rest.Config{
			Host:          fmt.Sprintf("https://127.0.0.1:%d", *port),
			QPS:           -1,
			UserAgent:     "bench-clientgo",
			ContentConfig: rest.ContentConfig{ContentType: "application/json"},
			TLSClientConfig: rest.TLSClientConfig{
				Insecure: true, CertFile: *cert, KeyFile: *key,
			},
		}
		if encoding == "protobuf" {
			config.ContentType = "application/vnd.kubernetes.protobuf"
			config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
		}
		client, err := kubernetes.NewForConfig(config)
		check(err)
		rows(client, "client-go "+encoding)
	}
}

func rows(client *kubernetes.Clientset, name string) {
	ctx := context.Background()
	pods := client.CoreV1().Pods(namespace)
	prefix := strings.ReplaceAll(name, " ", "-")
	loop(name+" create", *clients, func(n int) error {
		_, err := client.CoreV1().Pods(others).Create(ctx, pod(fmt.Sprintf("%s-%d", prefix, n)), metav1.CreateOptions{})
		return err
	})
	loop(name+" get", *clients, func(n int) error {
		_, err := pods.Get(ctx, existing(n), metav1.GetOptions{})
		return err
	})
	loop(name+" patch", *clients, func(n int) error {
		patch := fmt.Sprintf(`{"metadata":{"annotations":{"bench/patch":"%d"}}}`, n)
		_, err := pods.Patch(ctx, existing(n), types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
		return err
	})
	loop(name+" list of 500", 1, func(int) error {
		_, err := pods.List(ctx, metav1.ListOptions{Limit: 500})
		return err
	})
	loop(name+" informer, synced", 1, func(int) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
		informer := factory.Core().V1().Pods().Informer()
		factory.Start(ctx.Done())
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return fmt.Errorf("the informer has not synced")
		}
		return nil
	})
}

// Runs operations from several goroutines for the time of a row.
func loop(row string, width int, operation func(n int) error) {
	var count, next atomic.Int64
	var group sync.WaitGroup
	begin, used := time.Now(), cpu()
	end := begin.Add(time.Duration(*seconds * float64(time.Second)))
	for range width {
		group.Add(1)
		go func() {
			defer group.Done()
			for time.Now().Before(end) {
				if err := operation(int(next.Add(1))); err != nil {
					log.Fatalf("%s: %v", row, err)
				}
				count.Add(1)
			}
		}()
	}
	group.Wait()
	done := float64(count.Load())
	add(row, "server CPU", "us/op", float64((cpu()-used).Microseconds())/done)
	add(row, "rate", "op/s", done/time.Since(begin).Seconds())
}

func existing(n int) string { return fmt.Sprintf("frontend-7d4b9c6f58-%06d", n*7919%*objects) }

func pod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "frontend"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "server", Image: "registry.example.com/frontend:v1.24.3", Args: []string{"--port=8080"},
			Env:       []corev1.EnvVar{{Name: "LOG_LEVEL", Value: "info"}},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}},
		}}},
	}
}

// What the server's processes have used.
func cpu() time.Duration {
	file, err := os.ReadFile(*pids)
	check(err)
	var ticks int64
	for line := range strings.Lines(string(file)) {
		fields := strings.Fields(line)
		stat, err := os.ReadFile("/proc/" + fields[1] + "/stat")
		check(err)
		after := strings.Fields(string(stat)[strings.LastIndex(string(stat), ")")+1:])
		for _, at := range []int{11, 12} {
			n, err := strconv.ParseInt(after[at], 10, 64)
			check(err)
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func add(row, metric, unit string, value float64) {
	file, err := os.OpenFile(*results, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	check(err)
	_, err = fmt.Fprintf(file, "%s\t%s\t%s\t%s\t%g\n", *side, row, metric, unit, value)
	check(err)
	check(file.Close())
	fmt.Fprintf(os.Stderr, "  %-9s %-32s %-22s %12.1f %s\n", *side, row, metric, value, unit)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
