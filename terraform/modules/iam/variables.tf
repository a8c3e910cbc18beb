variable "cluster" {
  description = "The cluster's name: value of the tag joinery.sh/cluster and part of the parameters' names."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$", var.cluster))
    error_message = "cluster must be 1 to 40 letters, digits, dots and dashes, beginning with a letter or digit."
  }
}

variable "prefix" {
  description = "Path of the parameters, without a slash at its end; output of the module ssm."
  type        = string

  validation {
    condition     = can(regex("^/[A-Za-z0-9._/-]+[A-Za-z0-9._-]$", var.prefix)) && !startswith(var.prefix, "/aws")
    error_message = "prefix must be a path such as /joinery/team, without a slash at its end."
  }
}

variable "discovery_tag" {
  description = "Value of karpenter.sh/discovery on the subnets and security groups that Joinery may launch into."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of the token; null for the account's own, which needs no right."
  type        = string
  default     = null
}

variable "use_kms_key" {
  description = "Whether kms_key_arn is given. Apart from it, since a key that is yet to be made has no ARN when Terraform plans."
  type        = bool
  default     = false
}

variable "queue_arn" {
  description = "The queue of interruptions; null for none."
  type        = string
  default     = null
}

variable "use_queue" {
  description = "Whether queue_arn is given."
  type        = bool
  default     = false
}

variable "pull_from_ecr" {
  description = "Whether machines may pull images from the registries of ECR."
  type        = bool
  default     = true
}

variable "additional_policy_arns" {
  description = "Further policies, by name, for all three roles, such as AmazonSSMManagedInstanceCore for Session Manager. Pods on the host network have these rights too."
  type        = map(string)
  default     = {}
}

variable "permissions_boundary" {
  description = "ARN of a permissions boundary for the roles."
  type        = string
  default     = null
}

variable "create_spot_role" {
  description = "Make the account's service-linked role for spot. Once for each account; true fails where it exists."
  type        = bool
  default     = false
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
