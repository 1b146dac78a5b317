// The oracle answers what upstream's own Go code makes of an input. Decapod's test program asks it through a pipe and
// compares; see oracle/ at the root of the repository.
//
// Everything on the pipe is a list of byte strings: a count, then each string's length and its bytes, all numbers 32 bits,
// little-endian. A batch is a frame: the length of a list whose strings are questions, then that list. A question is a
// list again: its name and its arguments. The reply has the same form: a list of answers, in the order of the questions.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// A handler answers one question. Its error ends the program: what upstream refuses is an answer, too.
type handler func(arguments [][]byte) [][]byte

var handlers = map[string]handler{
	"decode":               decode,
	"field-selector":       fieldSelector,
	"fill":                 fill,
	"managed":              managed,
	"label-selector":       labelSelector,
	"label-selector-field": labelSelectorField,
	"patch":                patch,
	"pod-security":         podSecurity,
	"quantity":             quantity,
	"strategic-difference": strategicDifference,
}

func main() {
	in, out := bufio.NewReaderSize(os.Stdin, 1<<16), bufio.NewWriterSize(os.Stdout, 1<<16)
	for {
		batch, err := readFrame(in)
		if errors.Is(err, io.EOF) {
			return
		}
		check(err)
		answers := make([][]byte, 0, len(batch))
		for _, question := range batch {
			answers = append(answers, encodeList(answer(question)))
		}
		writeFrame(out, answers)
		check(out.Flush())
	}
}

func answer(question []byte) [][]byte {
	parts := decodeList(question)
	name := string(parts[0])
	handle, known := handlers[name]
	if !known {
		check(fmt.Errorf("no question is called %q", name))
	}
	return handle(parts[1:])
}

func readFrame(in io.Reader) ([][]byte, error) {
	var length uint32
	if err := binary.Read(in, binary.LittleEndian, &length); err != nil {
		return nil, err
	}
	frame := make([]byte, length)
	if _, err := io.ReadFull(in, frame); err != nil {
		return nil, err
	}
	return decodeList(frame), nil
}

func writeFrame(out io.Writer, list [][]byte) {
	frame := encodeList(list)
	check(binary.Write(out, binary.LittleEndian, uint32(len(frame))))
	_, err := out.Write(frame)
	check(err)
}

func decodeList(bytes []byte) [][]byte {
	count := binary.LittleEndian.Uint32(bytes)
	bytes = bytes[4:]
	list := make([][]byte, 0, count)
	for range count {
		end := 4 + binary.LittleEndian.Uint32(bytes)
		list = append(list, bytes[4:end:end])
		bytes = bytes[end:]
	}
	return list
}

func encodeList(list [][]byte) []byte {
	size := 4
	for _, item := range list {
		size += 4 + len(item)
	}
	bytes := binary.LittleEndian.AppendUint32(make([]byte, 0, size), uint32(len(list)))
	for _, item := range list {
		bytes = binary.LittleEndian.AppendUint32(bytes, uint32(len(item)))
		bytes = append(bytes, item...)
	}
	return bytes
}

// texts makes an answer of texts.
func texts(parts ...string) [][]byte {
	list := make([][]byte, 0, len(parts))
	for _, part := range parts {
		list = append(list, []byte(part))
	}
	return list
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}
