variable "cluster" {
  description = "The cluster's name: value of the tag joinery.sh/cluster and part of the parameters' names."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$", var.cluster))
    error_message = "cluster must be 1 to 40 letters, digits, dots and dashes, beginning with a letter or digit."
  }
}

variable "region" {
  description = "AWS region of the cluster."
  type        = string
}

variable "prefix" {
  description = "Path of the parameters; output of the module ssm."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of the token; null for the account's own."
  type        = string
  default     = null
}

variable "discovery_tag" {
  description = "Value of karpenter.sh/discovery on subnets and security groups."
  type        = string
}

variable "instance_profile" {
  description = "Name of the instance profile of Joinery's machines."
  type        = string
}

variable "settings" {
  description = "Further settings of agent.yaml, such as { maxNodes = 20 }."
  type        = any
  default     = {}

  validation {
    condition     = can(keys(var.settings)) && length(setintersection(try(keys(var.settings), []), ["clusterName", "region", "ssmPrefix", "kmsKeyId"])) == 0
    error_message = "settings must be an object without clusterName, region, ssmPrefix and kmsKeyId, which are set from the other variables."
  }
}

variable "pool" {
  description = "The first NodePool: name, instance types, zones (empty for all), spot and on-demand, limits, labels, taints such as workload=ai:NoSchedule."
  type = object({
    name           = optional(string, "default")
    instance_types = optional(list(string), ["t3.medium", "t3.large", "t3.xlarge"])
    zones          = optional(list(string), [])
    capacity_types = optional(list(string), ["on-demand"])
    architecture   = optional(string, "amd64")
    cpu            = optional(string, "20")
    memory         = optional(string, "40Gi")
    labels         = optional(map(string), {})
    taints         = optional(list(string), [])
    empty_after    = optional(string, "30s")
  })
  default = {}

  validation {
    condition     = length(var.pool.capacity_types) > 0 && alltrue([for type in var.pool.capacity_types : contains(["on-demand", "spot"], type)])
    error_message = "pool.capacity_types must be on-demand, spot or both."
  }

  validation {
    condition     = alltrue([for taint in var.pool.taints : can(regex("^[A-Za-z0-9./_-]+(=[A-Za-z0-9._-]*)?:(NoSchedule|PreferNoSchedule|NoExecute)$", taint))])
    error_message = "pool.taints must be key=value:effect or key:effect, with the effect NoSchedule, PreferNoSchedule or NoExecute."
  }
}

variable "volume_gib" {
  description = "Size of the root volumes of Joinery's machines, in GiB."
  type        = number
  default     = 40
}
