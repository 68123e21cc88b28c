// Command service is a service as others write it: it gets its token by the client_credentials grant of golang.org/x/oauth2 and knows
// nothing of Vestibule. It is for the tests in e2e/machine, which start it with one TOKEN_URL and then with another.
//
//	TOKEN_URL, CLIENT_ID, CLIENT_SECRET, SCOPES, RESOURCE → one line of JSON: the token, its type, the seconds that it lives
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/oauth2/clientcredentials"
)

func main() {
	config := clientcredentials.Config{
		TokenURL: os.Getenv("TOKEN_URL"), ClientID: os.Getenv("CLIENT_ID"), ClientSecret: os.Getenv("CLIENT_SECRET"),
		Scopes: strings.Fields(os.Getenv("SCOPES")),
	}
	if resource := os.Getenv("RESOURCE"); resource != "" {
		config.EndpointParams = url.Values{"resource": {resource}}
	}
	token, err := config.Token(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	said := map[string]string{
		"token": token.AccessToken, "type": token.TokenType, "seconds": fmt.Sprint(int(time.Until(token.Expiry).Round(time.Second).Seconds())),
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
