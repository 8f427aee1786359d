package story

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/skald-go/skald/examples/services/orders"
	"github.com/skald-go/skald/examples/services/process"
)

// answer is what a customer is told.
type answer struct {
	status  int
	text    string // what is wrong
	header  http.Header
	receipt orders.Receipt
	took    time.Duration
}

// place places an order over HTTP.
func (f *fleet) place(ctx context.Context, number, token string, want orders.Request) (a answer, err error) {
	body, err := json.Marshal(want)
	if err != nil {
		return a, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, f.url("orders")+"/orders/"+number, bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	began := time.Now()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	a = answer{status: response.StatusCode, text: strings.TrimSpace(string(data)), header: response.Header, took: time.Since(began)}
	if err == nil && a.status == http.StatusOK {
		err = json.Unmarshal(data, &a.receipt)
	}
	return a, err
}

// books asks a service for its figures.
func (f *fleet) books(ctx context.Context, name string) (b process.Books, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url(name)+"/books", nil)
	if err != nil {
		return b, err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return b, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return b, fmt.Errorf("books of %s: %s", name, response.Status)
	}
	return b, json.NewDecoder(response.Body).Decode(&b)
}
