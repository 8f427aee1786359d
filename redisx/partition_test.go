package redisx_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/skald-go/skald/redisx"
)

// Where a saga is stored may never change: brokers of other versions, and sagas that are stored, depend on it.
func TestASagaStaysInItsPartition(t *testing.T) {
	for id, key := range map[string]string{
		"order-42":             "{skald:14}:r:order-42",
		"order-43":             "{skald:45}:r:order-43",
		"order-44":             "{skald:27}:r:order-44",
		"":                     "{skald:25}:r:",
		"order-42/ship":        "{skald:14}:r:order-42/ship",
		"order-42/ship/parcel": "{skald:14}:r:order-42/ship/parcel",
	} {
		assert.Equal(t, key, redisx.Keys("", id, 64)[0])
		assert.Equal(t, "{shop:00}:r:"+id, redisx.Keys("shop", id)[0])
	}
}
