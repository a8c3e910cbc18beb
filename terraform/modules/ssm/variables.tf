variable "cluster" {
  description = "The cluster's name: value of the tag joinery.sh/cluster and part of the parameters' names."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$", var.cluster))
    error_message = "cluster must be 1 to 40 letters, digits, dots and dashes, beginning with a letter or digit."
  }
}

variable "prefix" {
  description = "Path of the parameters. Null: /joinery/<cluster>, which is the default of the setting ssmPrefix too."
  type        = string
  default     = null

  validation {
    condition     = var.prefix == null || can(regex("^/[A-Za-z0-9._/-]+[A-Za-z0-9._-]$", var.prefix))
    error_message = "prefix must be a path such as /joinery/team, without a slash at its end."
  }
}

variable "create_kms_key" {
  description = "A key of one's own for the token. False uses the account's key for Parameter Store, which costs nothing."
  type        = bool
  default     = false
}

variable "kms_key_arn" {
  description = "An existing key for the token, as an ARN."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || !var.create_kms_key
    error_message = "kms_key_arn and create_kms_key exclude each other."
  }

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:", var.kms_key_arn))
    error_message = "kms_key_arn must be an ARN of KMS."
  }
}

variable "tags" {
  description = "Tags for everything that is made here."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(key, "joinery.sh/")])
    error_message = "tags must not begin with joinery.sh/: admission believes those, so they are set here and nowhere else."
  }
}
