// Parses a multipart body with Go's mime/multipart.
// Arguments: the content type, the body's file. Prints name, file name, type and content's MD5.
package main

import (
	"crypto/md5"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"os"
	"sort"
	"strings"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func main() {
	_, params, err := mime.ParseMediaType(os.Args[1])
	check(err)
	body, err := os.Open(os.Args[2])
	check(err)
	reader := multipart.NewReader(body, params["boundary"])
	var rows []string
	for {
		part, err := reader.NextPart()
		if err == io.EOF {
			break
		}
		check(err)
		sum := md5.New()
		_, err = io.Copy(sum, part)
		check(err)
		kind := or(part.Header.Get("Content-Type"), "-")
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%x", part.FormName(), or(part.FileName(), "-"), kind, sum.Sum(nil)))
	}
	sort.Strings(rows)
	fmt.Println(strings.Join(rows, "\n"))
}
