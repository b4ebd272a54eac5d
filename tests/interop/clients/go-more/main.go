// Lists a bucket until standard input ends: list minio|base BUCKET SECONDS_BETWEEN.
// base is aws-sdk-go-base, by which Terraform's provider finds its credentials.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	awsbase "github.com/hashicorp/aws-sdk-go-base/v2"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const region = "us-west-2"

func byMinio(bucket string) (func() error, error) {
	chain := credentials.NewChainCredentials([]credentials.Provider{
		&credentials.FileAWSCredentials{},
		&credentials.IAM{},
	})
	server := strings.TrimPrefix(os.Getenv("AWS_ENDPOINT_URL"), "http://")
	client, err := minio.New(server, &minio.Options{Creds: chain, Region: region})
	return func() error {
		for object := range client.ListObjects(context.Background(), bucket, minio.ListObjectsOptions{}) {
			if object.Err != nil {
				return object.Err
			}
		}
		return nil
	}, err
}

func byBase(bucket string) (func() error, error) {
	_, config, diagnostics := awsbase.GetAwsConfig(context.Background(), &awsbase.Config{
		Region: region, SkipCredsValidation: true, SkipRequestingAccountId: true,
	})
	if diagnostics.HasError() {
		return nil, fmt.Errorf("%v", diagnostics)
	}
	client := s3.NewFromConfig(config, func(options *s3.Options) { options.UsePathStyle = true })
	return func() error {
		_, err := client.ListObjectsV2(context.Background(), &s3.ListObjectsV2Input{Bucket: &bucket})
		return err
	}, nil
}

func main() {
	way := map[string]func(string) (func() error, error){"minio": byMinio, "base": byBase}[os.Args[1]]
	seconds, _ := strconv.ParseFloat(os.Args[3], 64)
	list, err := way(os.Args[2])
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	for {
		if err := list(); err != nil {
			fmt.Println("error", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("ok")
		}
		select {
		case <-ended:
			return
		case <-time.After(time.Duration(seconds * float64(time.Second))):
		}
	}
}
