// Command mkimage packs a folder as a container image: one tar file that is an
// OCI image layout and a docker archive at once, so that every loader takes it.
//
//	mkimage -ref NAME:TAG -root DIR -out FILE [-entrypoint ARG]... [-cmd ARG]...
//	        [-env K=V]... [-port N]... [-user U] [-workdir DIR]
//
// The same folder and flags give the same bytes: files are in order of name,
// owned by root, and dated 1970. Links are kept, setuid and sticky bits too.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
)

// defaultPath is what runtimes expect of an image that says nothing else.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string         { return strings.Join(*l, " ") }
func (l *list) Set(value string) error { *l = append(*l, value); return nil }

func main() {
	log.SetFlags(0)
	log.SetPrefix("mkimage: ")
	var img image
	var ports list
	root := flag.String("root", "", "`folder` that becomes the root file system")
	out := flag.String("out", "", "`file` to write")
	flag.StringVar(&img.ref, "ref", "", "full `name:tag` of the image")
	flag.StringVar(&img.config.User, "user", "", "user, or user:group")
	flag.StringVar(&img.config.WorkingDir, "workdir", "", "working directory")
	flag.Var((*list)(&img.config.Entrypoint), "entrypoint", "entrypoint, one `argument` each")
	flag.Var((*list)(&img.config.Cmd), "cmd", "command, one `argument` each")
	flag.Var((*list)(&img.config.Env), "env", "environment, one `K=V` each")
	flag.Var(&ports, "port", "exposed TCP port, one `number` each")
	flag.Parse()
	if *root == "" || *out == "" || !strings.Contains(img.ref, ":") || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if !slices.ContainsFunc(img.config.Env, func(v string) bool { return strings.HasPrefix(v, "PATH=") }) {
		img.config.Env = append(img.config.Env, defaultPath)
	}
	for _, port := range ports {
		img.expose(port)
	}
	if err := img.write(*root, *out); err != nil {
		log.Fatal(fmt.Errorf("%s: %w", img.ref, err))
	}
}
