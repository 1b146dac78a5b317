package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"io"
	"os"
	"runtime"
	"strings"
)

const (
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
	typeIndex    = "application/vnd.oci.image.index.v1+json"
)

// image is what is packed, beside its files.
type image struct {
	ref    string // full name with the tag
	config runConfig
}

// runConfig says how a container of the image starts (OCI image config, "config").
type runConfig struct {
	User         string              `json:"User,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"`
	Env          []string            `json:"Env,omitempty"`
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	Labels       map[string]string   `json:"Labels,omitempty"`
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type object = map[string]any

func (i *image) expose(port string) {
	if i.config.ExposedPorts == nil {
		i.config.ExposedPorts = map[string]struct{}{}
	}
	i.config.ExposedPorts[port+"/tcp"] = struct{}{}
}

// write packs root into the image archive out.
func (i *image) write(root, out string) error {
	layer, err := pack(root, out+".layer")
	if err != nil {
		return err
	}
	defer os.Remove(layer.path)
	// The name is part of the image: two names of the same files are two images,
	// as they are upstream.
	i.config.Labels = map[string]string{"org.opencontainers.image.ref.name": i.ref}
	config, configBytes, err := blob(typeConfig, object{
		"created": epoch, "architecture": runtime.GOARCH, "os": "linux", "config": i.config,
		"rootfs":  object{"type": "layers", "diff_ids": []string{layer.diffID}},
		"history": []object{{"created": epoch, "created_by": "mkimage"}},
	})
	if err != nil {
		return err
	}
	manifest, manifestBytes, err := blob(typeManifest, object{
		"schemaVersion": 2, "mediaType": typeManifest, "config": config,
		"layers": []descriptor{{MediaType: typeLayer, Digest: layer.digest, Size: layer.size}},
	})
	if err != nil {
		return err
	}
	manifest.Annotations = map[string]string{
		"io.containerd.image.name":          i.ref,
		"org.opencontainers.image.ref.name": i.ref[strings.LastIndexByte(i.ref, ':')+1:],
	}
	file, err := os.Create(out)
	if err != nil {
		return err
	}
	defer file.Close()
	archive := tar.NewWriter(file)
	for _, part := range []struct {
		path  string
		value any
	}{
		{"oci-layout", object{"imageLayoutVersion": "1.0.0"}},
		{"index.json", object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []descriptor{manifest}}},
		{"manifest.json", []object{{
			"Config": pathOf(config.Digest), "RepoTags": []string{i.ref}, "Layers": []string{pathOf(layer.digest)},
		}}},
		{pathOf(manifest.Digest), manifestBytes},
		{pathOf(config.Digest), configBytes},
	} {
		text, err := json.Marshal(part.value)
		if err != nil {
			return err
		}
		if err := put(archive, part.path, int64(len(text)), bytes.NewReader(text)); err != nil {
			return err
		}
	}
	packed, err := os.Open(layer.path)
	if err != nil {
		return err
	}
	defer packed.Close()
	if err := put(archive, pathOf(layer.digest), layer.size, packed); err != nil {
		return err
	}
	return archive.Close()
}

// blob encodes value and describes the bytes.
func blob(mediaType string, value any) (descriptor, json.RawMessage, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return descriptor{}, nil, err
	}
	sum := sha256.New()
	sum.Write(text)
	return descriptor{MediaType: mediaType, Digest: name(sum), Size: int64(len(text))}, text, nil
}

func pathOf(digest string) string { return "blobs/" + strings.Replace(digest, ":", "/", 1) }

func put(archive *tar.Writer, path string, size int64, from io.Reader) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: size, ModTime: epoch}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(archive, from)
	return err
}
