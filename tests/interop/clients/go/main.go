// Lists a bucket with one client of the AWS SDK for Go v2 until standard input ends.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func main() {
	bucket := os.Args[1]
	seconds, _ := strconv.ParseFloat(os.Args[2], 64)
	pause := time.Duration(seconds * float64(time.Second))
	settings, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	client := s3.NewFromConfig(settings)
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	for {
		_, err := client.ListObjectsV2(context.Background(), &s3.ListObjectsV2Input{Bucket: &bucket})
		if err != nil {
			fmt.Println("error", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("ok")
		}
		select {
		case <-ended:
			return
		case <-time.After(pause):
		}
	}
}
