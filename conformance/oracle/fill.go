package main

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"
)

// fill: apiVersion, kind, seed -> an object filled at random, as JSON, protobuf and YAML.
func fill(arguments [][]byte) [][]byte {
	gvk := schema.FromAPIVersionAndKind(string(arguments[0]), string(arguments[1]))
	seed, err := strconv.ParseInt(string(arguments[2]), 10, 64)
	check(err)
	object, err := scheme.New(gvk)
	check(err)
	randfill.NewWithSeed(seed).NilChance(0.7).NumElements(0, 2).MaxDepth(14).Funcs(fillers...).Fill(object)
	object.GetObjectKind().SetGroupVersionKind(gvk)
	// Protobuf does not know empty from absent lists; what it keeps, all encodings do.
	if message := encode(asProtobuf, object); message != nil {
		object, _, err = asProtobuf.Decode(message, nil, nil)
		check(err)
	}
	return encodings(object)
}

// fillers for the types that cannot hold just anything. Opaque JSON is canonical, for ours is kept in meaning only.
var fillers = []any{
	func(t *metav1.TypeMeta, c randfill.Continue) {},
	func(t *metav1.Time, c randfill.Continue) { *t = metav1.NewTime(someTime(c)) },
	func(t *metav1.MicroTime, c randfill.Continue) {
		*t = metav1.NewMicroTime(someTime(c).Add(time.Duration(c.Intn(1000000)) * time.Microsecond))
	},
	func(q *resource.Quantity, c randfill.Continue) {
		format := []resource.Format{resource.DecimalSI, resource.BinarySI, resource.DecimalExponent}[c.Intn(3)]
		if c.Bool() {
			*q = *resource.NewQuantity(c.Int63n(1<<uint(1+c.Intn(62))), format)
		} else {
			*q = *resource.NewMilliQuantity(c.Int63n(1<<uint(1+c.Intn(62))), format)
		}
	},
	func(i *intstr.IntOrString, c randfill.Continue) {
		if c.Bool() {
			*i = intstr.FromInt32(int32(c.Uint32()))
		} else {
			*i = intstr.FromString(c.String(0))
		}
	},
	func(r *runtime.RawExtension, c randfill.Continue) { r.Raw = someJSON(c) },
	func(u *runtime.Unknown, c randfill.Continue) {
		u.Raw, u.ContentType = someJSON(c), runtime.ContentTypeJSON
	},
	func(f *metav1.FieldsV1, c randfill.Continue) { f.Raw = someJSON(c) },
	func(j *apiextensionsv1.JSON, c randfill.Continue) { j.Raw = someJSON(c) },
	func(s *apiextensionsv1.JSONSchemaPropsOrBool, c randfill.Continue) {
		if s.Allows = c.Bool(); s.Allows && c.Bool() {
			s.Schema = new(apiextensionsv1.JSONSchemaProps)
			c.Fill(s.Schema)
		}
	},
	func(s *apiextensionsv1.JSONSchemaPropsOrArray, c randfill.Continue) {
		if c.Bool() {
			s.Schema = new(apiextensionsv1.JSONSchemaProps)
			c.Fill(s.Schema)
		} else {
			s.JSONSchemas = make([]apiextensionsv1.JSONSchemaProps, 1)
			c.Fill(&s.JSONSchemas[0])
		}
	},
	func(s *apiextensionsv1.JSONSchemaPropsOrStringArray, c randfill.Continue) {
		if c.Bool() {
			s.Schema = new(apiextensionsv1.JSONSchemaProps)
			c.Fill(s.Schema)
		} else {
			s.Property = []string{c.String(0)}
		}
	},
	func(f *float64, c randfill.Continue) {
		*f = []float64{0, 1, -0.5, 3.25, 1e21, 1e-7, 123456789.125, math.MaxFloat64, float64(c.Int63()), c.NormFloat64()}[c.Intn(10)]
	},
	func(b *[]byte, c randfill.Continue) { *b = []byte(c.String(0) + "a") },
	func(i *int32, c randfill.Continue) { *i = int32(someInt(c)) },
	func(i *int64, c randfill.Continue) { *i = someInt(c) },
	func(a *any, c randfill.Continue) { check(json.Unmarshal(someJSON(c), a)) },
}

func someInt(c randfill.Continue) int64 {
	return []int64{0, 1, -1, 127, 128, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64, c.Int63()}[c.Intn(10)]
}

// someTime has whole seconds, and is never Go's zero time: that is nil's.
func someTime(c randfill.Continue) time.Time {
	return time.Unix(c.Int63n(253402300800+62135596799)-62135596799, 0).UTC()
}

func someJSON(c randfill.Continue) []byte {
	value := map[string]any{}
	for range c.Intn(3) {
		value[c.String(0)] = []any{
			nil, true, c.Intn(1000), 1.5, c.String(0), []any{}, map[string]any{"b": 1, "a": base64.StdEncoding.EncodeToString([]byte("a"))},
		}[c.Intn(7)]
	}
	text, err := json.Marshal(value)
	check(err)
	return text
}
