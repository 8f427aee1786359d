package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEverythingIsPrinted(t *testing.T) {
	var out bytes.Buffer
	args := "-sized 200 -left 200 -keep 1s -few 50 -many 500 -first 200 -rounds 1 -length 20ms"
	require.NoError(t, run(t.Context(), strings.Fields(args), &out))
	for _, said := range []string{
		"ready:", "owned:", "parked:", "finished:", `200 sagas of "order"`, `200 sagas of "rollback"`, "used_memory_dataset",
		"500 sagas are parked", "500 sagas are finished", "many against few",
	} {
		assert.Contains(t, out.String(), said)
	}
}

func TestNumbersThatMakeNoSenseAreRefused(t *testing.T) {
	for _, args := range []string{"-few 0", "-left -1", "-rounds 0", "-length 0s", "-many x"} {
		assert.Error(t, run(t.Context(), strings.Fields(args), &bytes.Buffer{}), args)
	}
}
