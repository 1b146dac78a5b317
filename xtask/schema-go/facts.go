package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"sort"
	"strings"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kubernetes/pkg/generated/openapi"
)

// The table, line by line, words separated by one space:
//
//	gv GROUP/VERSION [served]           a group and version (the core group has no GROUP/)
//	kind NAME TYPE [list]               a kind of the gv above
//	package NAME                        the package of the types below
//	type NAME [atomic] [union=JSON]     a struct; atomic: its map type; union: which of its fields exclude each other
//	 NAME NUMBER FLAGS SHAPE [KEY=VALUE] a field in Go's order, indented by a space; NUMBER is protobuf's, or -
//
// FLAGS: p pointer, e omitempty, o omitzero, i inline, r required, z its default is zero, y its items' default is zero; or -.
// SHAPE: a primitive, &TYPE, []SHAPE, []!SHAPE (protobuf wraps it in a message), {}SHAPE. TYPE is TYPE of this
// package, ~TYPE of meta/v1, or a full name.
// KEYs: ps pk patch strategy and merge key; lt lk list type and map keys; mt map type; d default (JSON);
// e enum (of the items, in a list; a space is written _); f format, where it is not the shape's own.

const metaPackage = "io.k8s.apimachinery.pkg.apis.meta.v1"

type facts struct {
	definitions map[string]common.OpenAPIDefinition
	found       map[string]reflect.Type
}

func write(out io.Writer) error {
	ref := func(path string) spec.Ref { return spec.MustCreateRef("#/definitions/" + path) }
	f := &facts{openapi.GetOpenAPIDefinitions(ref), map[string]reflect.Type{}}
	for _, gv := range groupVersions() {
		words := []string{"gv", gv.String()}
		if gv.served {
			words = append(words, "served")
		}
		fmt.Fprintln(out, strings.Join(words, " "))
		for _, kind := range gv.kinds {
			words := []string{"kind", kind.name, f.reach(kind.typ)}
			if kind.list {
				words = append(words, "list")
			}
			fmt.Fprintln(out, strings.Join(words, " "))
		}
	}
	names := make([]string, 0, len(f.found))
	for name := range f.found {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := split(names[i]), split(names[j])
		return a[0] < b[0] || a[0] == b[0] && a[1] < b[1]
	})
	last := ""
	for _, name := range names {
		parts := split(name)
		if parts[0] != last {
			last = parts[0]
			fmt.Fprintln(out, "package", last)
		}
		f.writeType(out, parts[0], parts[1], f.found[name])
	}
	return nil
}

// reach notes the struct and everything under it, and returns its OpenAPI name.
func (f *facts) reach(typ reflect.Type) string {
	name := openapiName(typ)
	if _, seen := f.found[name]; seen {
		return name
	}
	f.found[name] = typ
	if typ.Kind() != reflect.Struct {
		panic(name + " is no struct")
	}
	for i := range typ.NumField() {
		if field := typ.Field(i); field.IsExported() && field.Tag.Get("json") != "-" {
			f.shape(pointee(field.Type), "")
		}
	}
	return name
}

func (f *facts) writeType(out io.Writer, pkg, name string, typ reflect.Type) {
	// What upstream speaks but does not serve (admission reviews) has none.
	definition, known := f.definitions[pkg+"."+name]
	words := []string{"type", name}
	if mapType, ok := definition.Schema.Extensions.GetString("x-kubernetes-map-type"); ok {
		words = append(words, mapType)
	}
	if unions, ok := definition.Schema.Extensions["x-kubernetes-unions"]; ok {
		words = append(words, "union="+compact(unions))
	}
	fmt.Fprintln(out, strings.Join(words, " "))
	for i := range typ.NumField() {
		if field := typ.Field(i); field.IsExported() && field.Tag.Get("json") != "-" {
			line, documented := f.field(pkg, field, &definition.Schema)
			if known && !documented {
				panic("no OpenAPI property of " + line + " in " + pkg + "." + name)
			}
			fmt.Fprintln(out, line)
		}
	}
}

func (f *facts) field(pkg string, field reflect.StructField, owner *spec.Schema) (string, bool) {
	options := strings.Split(field.Tag.Get("json"), ",")
	name, options := options[0], options[1:]
	typ, flags := pointee(field.Type), ""
	if typ != field.Type {
		flags = "p"
	}
	inline := name == ""
	if inline {
		if !field.Anonymous || field.Type.Kind() != reflect.Struct {
			panic(fmt.Sprintf("%s.%s has no JSON name", pkg, field.Name))
		}
		name, flags = ":"+field.Name, flags+"i"
	}
	for _, option := range options {
		switch option {
		case "omitempty":
			flags += "e"
		case "omitzero":
			flags += "o"
		case "inline":
		default:
			panic(field.Name + ": unknown option " + option)
		}
	}
	property, documented := owner.Properties[name]
	shape := f.shape(typ, pkg)
	var keys []string
	if !inline {
		for _, required := range owner.Required {
			if required == name {
				flags += "r"
			}
		}
		flags, keys = properties(flags, shape, field, &property)
	}
	if flags == "" {
		flags = "-"
	}
	words := append([]string{name, number(field), flags, shape}, keys...)
	return " " + strings.Join(words, " "), documented || inline
}

// properties adds what OpenAPI and the patch tags say of a field.
func properties(flags, shape string, field reflect.StructField, property *spec.Schema) (string, []string) {
	var keys []string
	add := func(key, value string) {
		if strings.ContainsAny(value, " \t\n") || value == "" && key != "d" {
			panic(fmt.Sprintf("%s: %s=%q is no word", field.Name, key, value))
		}
		keys = append(keys, key+"="+value)
	}
	for _, tag := range [][2]string{{"ps", "patchStrategy"}, {"pk", "patchMergeKey"}} {
		if value := field.Tag.Get(tag[1]); value != "" {
			add(tag[0], value)
		}
	}
	if value, ok := property.Extensions.GetString("x-kubernetes-list-type"); ok {
		add("lt", value)
	}
	if values, ok := property.Extensions.GetStringSlice("x-kubernetes-list-map-keys"); ok {
		add("lk", strings.Join(values, ","))
	}
	if value, ok := property.Extensions.GetString("x-kubernetes-map-type"); ok {
		add("mt", value)
	}
	items := property
	if property.Items != nil {
		items = property.Items.Schema
	} else if property.AdditionalProperties != nil {
		items = property.AdditionalProperties.Schema
	}
	if property.Default != nil {
		if value := compact(property.Default); isZero(value) {
			flags += "z"
		} else {
			add("d", value)
		}
	}
	if items != property && items.Default != nil {
		if value := compact(items.Default); !isZero(value) {
			panic(field.Name + ": items have a default " + value)
		}
		flags += "y"
	}
	if len(items.Enum) > 0 {
		var values []string
		for _, value := range items.Enum {
			text := value.(string)
			if strings.ContainsAny(text, "_|") {
				panic(field.Name + ": enum value " + text)
			}
			values = append(values, strings.ReplaceAll(text, " ", "_"))
		}
		if text := strings.Join(values, "|"); text != "" {
			add("e", text)
		}
	}
	if format := items.Format; format != "" && format != formats[strings.TrimLeft(shape, "[]{}!")] {
		add("f", format)
	}
	return flags, keys
}

var formats = map[string]string{
	"int32": "int32", "int64": "int64", "float64": "double", "bytes": "byte", "time": "date-time",
	"microtime": "date-time", "intorstring": "int-or-string",
}

func compact(value any) string {
	text, err := json.Marshal(value)
	must(err)
	var out bytes.Buffer
	must(json.Compact(&out, text))
	return out.String()
}

func isZero(text string) bool {
	return text == `{}` || text == `""` || text == `0` || text == `false`
}

// primitives are the types whose encodings are not what reflection says.
var primitives = map[string]string{
	"k8s.io/apimachinery/pkg/apis/meta/v1.Time":                                             "time",
	"k8s.io/apimachinery/pkg/apis/meta/v1.MicroTime":                                        "microtime",
	"k8s.io/apimachinery/pkg/apis/meta/v1.FieldsV1":                                         "fieldsv1",
	"k8s.io/apimachinery/pkg/api/resource.Quantity":                                         "quantity",
	"k8s.io/apimachinery/pkg/util/intstr.IntOrString":                                       "intorstring",
	"k8s.io/apimachinery/pkg/runtime.RawExtension":                                          "raw",
	"k8s.io/apimachinery/pkg/runtime.Unknown":                                               "raw", // in JSON; of audit events, which nobody sends in protobuf
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSON":                         "json",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrArray":       "schemaorarray",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrBool":        "schemaorbool",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrStringArray": "schemaorstrings",
}

var marshaler = reflect.TypeFor[json.Marshaler]()
var protobuf = reflect.TypeFor[interface{ Marshal() ([]byte, error) }]()

// shape names the type as a field of `pkg` would, and reaches the structs in it.
func (f *facts) shape(typ reflect.Type, pkg string) string {
	if name, ok := primitives[typ.PkgPath()+"."+typ.Name()]; ok {
		return name
	}
	if typ.Implements(marshaler) || reflect.PointerTo(typ).Implements(marshaler) {
		panic("unknown custom encoding of " + typ.String())
	}
	switch typ.Kind() {
	case reflect.Bool, reflect.String, reflect.Int32, reflect.Int64, reflect.Float64:
		return typ.Kind().String()
	case reflect.Interface:
		return "any"
	case reflect.Struct:
		name := f.reach(typ)
		if rest, ok := strings.CutPrefix(name, pkg+"."); ok && pkg != "" {
			return "&" + rest
		}
		if rest, ok := strings.CutPrefix(name, metaPackage+"."); ok {
			return "&~" + rest
		}
		return "&" + name
	case reflect.Slice:
		if typ.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		open := "[]"
		if reflect.PointerTo(typ).Implements(protobuf) {
			open = "[]!"
		}
		return open + f.shape(typ.Elem(), pkg)
	case reflect.Map:
		if typ.Key().Kind() != reflect.String {
			panic("map key is no text: " + typ.String())
		}
		return "{}" + f.shape(typ.Elem(), pkg)
	default:
		panic("unknown kind of " + typ.String())
	}
}

var tag = regexp.MustCompile(`^[a-z0-9]+,([0-9]+)(,|$)`)

// number reads the protobuf tag. Its wire type is not read: upstream's tags are wrong in places, its generated
// code follows the Go type.
func number(field reflect.StructField) string {
	text := field.Tag.Get("protobuf")
	if text == "" || text == "-" {
		return "-"
	}
	parts := tag.FindStringSubmatch(text)
	if parts == nil {
		panic(field.Name + ": unknown protobuf tag " + text)
	}
	return parts[1]
}

// openapiName as upstream's generated model names say, else from the package's path.
func openapiName(typ reflect.Type) string {
	if named, ok := reflect.New(typ).Interface().(interface{ OpenAPIModelName() string }); ok {
		return named.OpenAPIModelName()
	}
	path, rest, _ := strings.Cut(typ.PkgPath(), "/")
	labels := strings.Split(path, ".")
	for i, j := 0, len(labels)-1; i < j; i, j = i+1, j-1 {
		labels[i], labels[j] = labels[j], labels[i]
	}
	return strings.Join(labels, ".") + "." + strings.ReplaceAll(rest, "/", ".") + "." + typ.Name()
}

func pointee(typ reflect.Type) reflect.Type {
	if typ.Kind() == reflect.Pointer {
		return typ.Elem()
	}
	return typ
}

// split parts a full name into its package and the rest.
func split(name string) [2]string {
	at := strings.LastIndex(name, ".")
	return [2]string{name[:at], name[at+1:]}
}
