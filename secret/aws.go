package secret

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
)

// amazon reads from AWS Secrets Manager. The SDK is set up at the first read: a start
// without awssm: references does not pay for it.
type amazon struct {
	mu     sync.Mutex
	client *secretsmanager.Client
}

// fetch returns SecretString, or SecretBinary for a secret that has no text.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
func (a *amazon) fetch(ctx context.Context, want AWSSecret) ([]byte, error) {
	client, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId:     aws.String(want.ID),
		VersionStage: aws.String(want.Stage),
	}, func(o *secretsmanager.Options) {
		if want.Region != "" {
			o.Region = want.Region
		}
	})
	if err != nil {
		return nil, fmt.Errorf("secret %q, stage %s: %w", want.ID, want.Stage, err)
	}
	if out.SecretString != nil {
		return []byte(*out.SecretString), nil
	}
	return out.SecretBinary, nil
}

func (a *amazon) connect(ctx context.Context) (*secretsmanager.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.client != nil {
		return a.client, nil
	}
	settings, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("load AWS settings: %w", err)
	}
	a.client = secretsmanager.NewFromConfig(settings)
	return a.client, nil
}

// awsHint is the cure for what Secrets Manager answered.
func awsHint(err error) string {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		switch answer.ErrorCode() {
		case "ResourceNotFoundException":
			return "create the secret, or correct its name, stage and region"
		case "AccessDeniedException":
			return "allow secretsmanager:GetSecretValue on it, and kms:Decrypt on its key"
		case "DecryptionFailure":
			return "allow kms:Decrypt on its key"
		}
	}
	return "check AWS_REGION, the credentials and the network"
}
