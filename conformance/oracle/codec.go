package main

import (
	"bytes"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
)

var (
	asJSON     = json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Strict: true})
	asYAML     = json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Strict: true, Yaml: true})
	asProtobuf = protobuf.NewSerializer(scheme, scheme)
)

// decode: encoding, body -> "ok", "strict" or "error"; the error; the object as JSON, protobuf and YAML.
func decode(arguments [][]byte) [][]byte {
	decoder := map[string]runtime.Decoder{"json": asJSON, "yaml": asYAML, "protobuf": asProtobuf}[string(arguments[0])]
	object, _, err := decoder.Decode(arguments[1], nil, nil)
	switch {
	case err == nil:
		return append(texts("ok", ""), encodings(object)...)
	case runtime.IsStrictDecodingError(err):
		return append(texts("strict", err.Error()), encodings(object)...)
	default:
		return texts("error", err.Error())
	}
}

// encodings of an object; protobuf is empty for types that have none. What cannot be encoded is "!" and why.
func encodings(object runtime.Object) [][]byte {
	text := bytes.TrimSuffix(encode(asJSON, object), []byte("\n"))
	return [][]byte{text, encode(asProtobuf, object), encode(asYAML, object)}
}

func encode(encoder runtime.Encoder, object runtime.Object) []byte {
	var out bytes.Buffer
	if err := encoder.Encode(object, &out); err != nil {
		if strings.Contains(err.Error(), "does not implement the protobuf marshalling interface") {
			return nil
		}
		return []byte("!" + err.Error())
	}
	return out.Bytes()
}
