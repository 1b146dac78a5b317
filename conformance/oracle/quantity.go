package main

import (
	"strconv"

	"k8s.io/apimachinery/pkg/api/resource"
)

// quantity: two texts -> "error" and why the first that is none is none; or "ok", what is said of each, their order, their
// sum and their difference.
func quantity(arguments [][]byte) [][]byte {
	var parsed []resource.Quantity
	for _, argument := range arguments {
		quantity, err := resource.ParseQuantity(string(argument))
		if err != nil {
			return texts("error", err.Error())
		}
		parsed = append(parsed, quantity)
	}
	answer := texts("ok")
	for _, quantity := range parsed {
		text, err := quantity.MarshalJSON()
		check(err)
		answer = append(answer, texts(
			string(text), string(quantity.Format), strconv.Itoa(quantity.Sign()), strconv.FormatInt(quantity.Value(), 10),
			strconv.FormatInt(quantity.MilliValue(), 10), strconv.FormatFloat(quantity.AsApproximateFloat64(), 'e', 8, 64),
		)...)
	}
	a, b := parsed[0], parsed[1]
	sum, difference := a.DeepCopy(), a.DeepCopy()
	sum.Add(b)
	difference.Sub(b)
	return append(answer, texts(strconv.Itoa(a.Cmp(b)), sum.String(), difference.String())...)
}
